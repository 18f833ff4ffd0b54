-- One long transaction: big recursive queries, an index, updates; the journal and the page cache hold what
-- the file does not have yet.
PRAGMA cache_size = 500;
CREATE TABLE words (number INTEGER PRIMARY KEY, hash INTEGER, word TEXT);
BEGIN IMMEDIATE;
WITH RECURSIVE count(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < 400000)
INSERT INTO words SELECT n, (n * 2654435761) % 4294967296, printf('word-%08x', (n * 40503) % 65536) FROM count;
SELECT 'inserted', count(*), sum(hash) FROM words;
CREATE INDEX by_word ON words (word);
UPDATE words SET hash = (hash * 31 + length(word)) % 1000003 WHERE number % 3 = 0;
SELECT 'updated', count(*), sum(hash) FROM words;
WITH RECURSIVE walk(n, h) AS (
  SELECT 1, 1 UNION ALL
  SELECT n + 1, (h * 1103515245 + 12345) % 2147483648 FROM walk WHERE n < 12000000
)
SELECT 'walked', count(*), sum(h) FROM walk;
DELETE FROM words WHERE number % 7 = 0;
COMMIT;
SELECT 'left', count(*), sum(hash), max(word) FROM words;
SELECT word, count(*) FROM words GROUP BY word ORDER BY 2 DESC, 1 LIMIT 20;
PRAGMA integrity_check;
