"""Builds a document, writes and reads it as JSON, over and over."""
import hashlib
import json
import random

random.seed(1)
document = [{'id': i, 'name': 'item %d' % i, 'price': random.random() * 100,
             'tags': ['t%d' % random.randrange(50) for _ in range(5)],
             'stock': {'here': random.randrange(1000), 'there': random.randrange(1000)}}
            for i in range(4000)]
total = hashlib.sha256()
for round_ in range(40):
    text = json.dumps(document, indent=1 if round_ % 2 else None, sort_keys=True)
    total.update(text.encode())
    document = json.loads(text)
print(total.hexdigest(), len(document))
