"""functions.py N: a C file of N functions that are not all alike."""
import random
import sys

random.seed(2)
n = int(sys.argv[1])
print('struct node { int key; struct node *next; double weight; };')
for i in range(n):
    a, b, c = (random.randrange(1, 1000) for _ in range(3))
    print(f'''
int function_{i}(struct node *n, int x, const char *s)
{{
	int sum = {a};

	while (n && n->key < {b})
		n = n->next;
	if (n && s[x & 7] == {a % 128})
		sum += n->weight > {c}.5 ? x : n->key;
	return sum * x;
}}''')
