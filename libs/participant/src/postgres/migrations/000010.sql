-- Less of the server's time for each branch, again.
--
-- The server parses a CHECK anew for each statement that writes: six of them took half of the time of a vote or ballot,
-- and one took half of that of a ledger row. A trigger keeps its plans, and guards the acceptors' rows as they did. An
-- unknown outcome in the ledger is refused by whoever reads it.
--
-- A branch in doubt holds a lock on the ledger that the program which runs this may have to end. So nobody waits for it:
-- then the ledger keeps its check, and is only slower.
--
-- `concordat_begin_branch` is `concordat_open_branch`, which former programs call, as a procedure: CALL is not planned,
-- and answers with no row.
CREATE FUNCTION :CONCORDAT_SCHEMA.concordat_check_acceptor() RETURNS trigger LANGUAGE plpgsql AS $function$
BEGIN
  IF NEW.vote NOT IN ('yes', 'no', 'read-only')
    OR NEW.decision NOT IN ('commit', 'abort')
    OR num_nulls(NEW.promised_round, NEW.promised_proposer) NOT IN (0, 2)
    OR num_nulls(NEW.accepted_round, NEW.accepted_proposer, NEW.accepted_value) NOT IN (0, 3)
    OR NEW.accepted_value NOT IN ('commit', 'abort')
    OR (NEW.accepted_round IS NOT NULL AND NEW.promised_round IS NULL)
    OR (NEW.accepted_round, NEW.accepted_proposer) > (NEW.promised_round, NEW.promised_proposer)
  THEN
    RAISE EXCEPTION 'a row of concordat_acceptor would be impossible: branch %', NEW.branch_id
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END
$function$;
CREATE TRIGGER concordat_check_acceptor BEFORE INSERT OR UPDATE ON :CONCORDAT_SCHEMA.concordat_acceptor
  FOR EACH ROW EXECUTE FUNCTION :CONCORDAT_SCHEMA.concordat_check_acceptor();
DO $do$
DECLARE
  dropped name;
  former_lock_timeout text := pg_catalog.current_setting('lock_timeout');
BEGIN
  FOR dropped IN SELECT conname FROM pg_catalog.pg_constraint
    WHERE contype = 'c' AND conrelid = ':CONCORDAT_SCHEMA.concordat_acceptor'::regclass
  LOOP
    EXECUTE format('ALTER TABLE :CONCORDAT_SCHEMA.concordat_acceptor DROP CONSTRAINT %I', dropped);
  END LOOP;
  PERFORM pg_catalog.set_config('lock_timeout', '300', true);
  BEGIN
    ALTER TABLE :CONCORDAT_SCHEMA.concordat_branch DROP CONSTRAINT IF EXISTS concordat_branch_outcome_check;
  EXCEPTION
    WHEN lock_not_available THEN
      RAISE NOTICE 'concordat_branch is in use and keeps its check';
  END;
  PERFORM pg_catalog.set_config('lock_timeout', former_lock_timeout, true);
END
$do$;
CREATE PROCEDURE :CONCORDAT_SCHEMA.concordat_begin_branch(
  of_branch text, lock_timeout_ms text, statement_timeout_ms text, check_interval_ms text
) LANGUAGE plpgsql AS $procedure$
DECLARE
  ignored text;
BEGIN
  ignored := pg_catalog.set_config('lock_timeout', lock_timeout_ms, true);
  ignored := pg_catalog.set_config('statement_timeout', statement_timeout_ms, true);
  ignored := pg_catalog.set_config('idle_in_transaction_session_timeout', statement_timeout_ms, true);
  IF check_interval_ms <> '0' THEN
    ignored := pg_catalog.set_config('client_connection_check_interval', check_interval_ms, true);
  END IF;
  IF NOT pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended(of_branch, 0)) THEN
    RAISE EXCEPTION 'branch % is at work or prepared', of_branch USING ERRCODE = 'CB001';
  END IF;
  IF EXISTS (SELECT FROM :CONCORDAT_SCHEMA.concordat_branch WHERE branch_id = of_branch::uuid) THEN
    RAISE EXCEPTION 'branch % is in the ledger', of_branch USING ERRCODE = 'CB001';
  END IF;
END
$procedure$;
