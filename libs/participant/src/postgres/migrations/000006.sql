-- One row at most: prepared transactions are found by cluster and database alone, so a database is one participant's.
CREATE TABLE :CONCORDAT_SCHEMA.concordat_owner (
  is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  cluster text NOT NULL,
  participant text NOT NULL,
  since timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE :CONCORDAT_SCHEMA.concordat_owner IS
  'The participant that this database belongs to. Another one refuses to start on it.';
