"""Trees and calls: what an interpreter allocates for itself."""
import sys

sys.setrecursionlimit(10000)


def tree(depth):
    return (tree(depth - 1), tree(depth - 1)) if depth else (None, None)


def count(node):
    return 1 + count(node[0]) + count(node[1]) if node[0] else 1


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def deep(n):
    return [n] + deep(n - 1) if n else []


print(sum(count(tree(14)) for _ in range(60)), fibonacci(29), sum(map(len, map(deep, range(700)))))
