PRAGMA synchronous = OFF;
CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, amount INTEGER, note TEXT);
CREATE INDEX item_name ON item (name);
CREATE INDEX item_amount ON item (amount, name);
BEGIN;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
INSERT INTO item SELECT i, 'name ' || (i * 7919 % 300007), i * 104729 % 10007,
	'note ' || hex(i * 31 % 65536) FROM n;
COMMIT;
SELECT amount % 100 AS a, count(*), min(name), max(note) FROM item GROUP BY a ORDER BY a;
SELECT count(*) FROM item x JOIN item y ON x.amount = y.amount AND y.id < 300 WHERE x.id < 100000;
