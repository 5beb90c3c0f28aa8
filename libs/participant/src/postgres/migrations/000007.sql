-- Which database this is. A copy, or a standby that was promoted, finds here that it is another one.
CREATE TABLE :CONCORDAT_SCHEMA.concordat_database (
  is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  system_identifier text,
  timeline int NOT NULL,
  abstains_before timestamptz,
  recognised_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE :CONCORDAT_SCHEMA.concordat_database IS
  'Which database this is. Of transactions in three phases that began before abstains_before its branches say nothing, because it may have lost what they had promised.';
