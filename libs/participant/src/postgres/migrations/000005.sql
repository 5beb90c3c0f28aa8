-- Tombstones of before tell nobody of a decision: that is safe, others ask a majority then.
ALTER TABLE :CONCORDAT_SCHEMA.concordat_branch ADD COLUMN decided boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN :CONCORDAT_SCHEMA.concordat_branch.decided IS
  'Of an aborted branch: it was told the decision. Otherwise the row only stops a late prepare.';
