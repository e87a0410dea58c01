-- The shop's tables and first rows. Running it again changes nothing.
CREATE TABLE IF NOT EXISTS goods (
	name  text PRIMARY KEY,
	price numeric(8, 2) NOT NULL,
	stock integer NOT NULL CHECK (stock >= 0)
);

INSERT INTO goods VALUES
	('Compass', 24.00, 7),
	('Keel bolt', 3.50, 120),
	('Rope & tackle', 18.90, 14)
ON CONFLICT DO NOTHING;

GRANT SELECT ON goods TO shop;
