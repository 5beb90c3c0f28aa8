CREATE TABLE :CONCORDAT_SCHEMA.concordat_branch (
  branch_id uuid PRIMARY KEY,
  transaction_id uuid NOT NULL,
  outcome text NOT NULL CHECK (outcome IN ('committed', 'aborted')),
  result json,
  updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE :CONCORDAT_SCHEMA.concordat_branch IS
  'How the branches of global transactions ended here. Do not edit: the outcome of transactions hangs on it.';
