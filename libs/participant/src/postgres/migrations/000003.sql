-- Beside the ledger, whose row lies inside the prepared transaction and cannot be written while that is open. `promised`
-- and `accepted` are ballots: a round and a proposer each.
CREATE TABLE :CONCORDAT_SCHEMA.concordat_acceptor (
  branch_id uuid PRIMARY KEY,
  transaction_id uuid NOT NULL,
  vote text NOT NULL CHECK (vote IN ('yes', 'no', 'read-only')),
  result json,
  acceptors json NOT NULL,
  promised_round int,
  promised_proposer int,
  accepted_round int,
  accepted_proposer int,
  accepted_value text CHECK (accepted_value IN ('commit', 'abort')),
  decision text CHECK (decision IN ('commit', 'abort')),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CHECK (num_nulls(promised_round, promised_proposer) IN (0, 2)),
  CHECK (num_nulls(accepted_round, accepted_proposer, accepted_value) IN (0, 3)),
  CHECK (accepted_round IS NULL OR (promised_round IS NOT NULL AND
    (accepted_round, accepted_proposer) <= (promised_round, promised_proposer)))
);
COMMENT ON TABLE :CONCORDAT_SCHEMA.concordat_acceptor IS
  'Votes and ballots of branches in three phases. Do not edit: the outcome of transactions hangs on it.';
