-- `concordat_close_branch`: the last statement before PREPARE or COMMIT. What is deferred runs first, as the handlers have
-- set the session up for it; then the session is made what it was, so that nothing reaches the next branch and whoever
-- prepares the transaction may also end it (a role would own it). All of it in the call that writes the ledger row, whose
-- kept plan pays for it.
--
-- `concordat_reset_session`: the same after every other end, and what only a commit lets out. Neither drops plans; what
-- has no reset in a transaction is named, and makes the session unfit.
CREATE FUNCTION :CONCORDAT_SCHEMA.concordat_close_branch(of_branch text, of_transaction text, results text, of_user text)
RETURNS int LANGUAGE plpgsql AS $function$
DECLARE
  unlocked text;
  named_statements int;
BEGIN
  SET CONSTRAINTS ALL IMMEDIATE;
  IF session_user <> of_user OR current_user <> session_user THEN
    RESET SESSION AUTHORIZATION;
    RESET ROLE;
  END IF;
  INSERT INTO :CONCORDAT_SCHEMA.concordat_branch (branch_id, transaction_id, outcome, result)
    VALUES (of_branch::uuid, of_transaction::uuid, 'committed', results::json);
  RESET ALL; -- behind the row, which waits for others' locks no longer than the branch may
  DISCARD SEQUENCES;
  unlocked := pg_catalog.pg_advisory_unlock_all()::text;
  SELECT CASE WHEN bool_or(from_sql) THEN -1 ELSE count(*) END
    INTO named_statements FROM pg_catalog.pg_prepared_statement();
  RETURN named_statements;
END
$function$;
CREATE FUNCTION :CONCORDAT_SCHEMA.concordat_reset_session(OUT left_behind text, OUT named_statements int)
LANGUAGE plpgsql AS $function$
DECLARE
  unlocked text;
BEGIN
  RESET SESSION AUTHORIZATION;
  RESET ROLE;
  RESET ALL;
  DISCARD SEQUENCES;
  unlocked := pg_catalog.pg_advisory_unlock_all()::text;
  SELECT CASE WHEN bool_or(from_sql) THEN -1 ELSE count(*) END
    INTO named_statements FROM pg_catalog.pg_prepared_statement();
  left_behind := CASE
    WHEN pg_catalog.pg_my_temp_schema() <> 0 THEN 'temporary tables'
    WHEN EXISTS (SELECT FROM pg_catalog.pg_cursor() WHERE is_holdable) THEN 'cursors WITH HOLD'
    WHEN EXISTS (SELECT FROM pg_catalog.pg_listening_channels()) THEN 'LISTEN'
  END;
END
$function$;
