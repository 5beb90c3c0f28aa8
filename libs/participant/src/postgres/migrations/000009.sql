-- Less of the server's time for each branch. `concordat_open_branch` sets the time limits by assignments: plain
-- expressions, where PERFORM runs a query.
--
-- After plain statements, the usual ones, nobody looks for named statements, cursors and channels: a plain statement
-- leaves none behind, and looking for them took longer than writing the ledger row. The cheap resets are always done.
CREATE OR REPLACE FUNCTION :CONCORDAT_SCHEMA.concordat_open_branch(
  of_branch text, lock_timeout_ms int, statement_timeout_ms int, check_interval_ms int
) RETURNS void LANGUAGE plpgsql AS $function$
DECLARE
  statement_timeout_text text := statement_timeout_ms::text;
  ignored text;
BEGIN
  ignored := pg_catalog.set_config('lock_timeout', lock_timeout_ms::text, true);
  ignored := pg_catalog.set_config('statement_timeout', statement_timeout_text, true);
  ignored := pg_catalog.set_config('idle_in_transaction_session_timeout', statement_timeout_text, true);
  IF check_interval_ms > 0 THEN
    ignored := pg_catalog.set_config('client_connection_check_interval', check_interval_ms::text, true);
  END IF;
  IF NOT pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended(of_branch, 0)) THEN
    RAISE EXCEPTION 'branch % is at work or prepared', of_branch USING ERRCODE = 'CB001';
  END IF;
  IF EXISTS (SELECT FROM :CONCORDAT_SCHEMA.concordat_branch WHERE branch_id = of_branch::uuid) THEN
    RAISE EXCEPTION 'branch % is in the ledger', of_branch USING ERRCODE = 'CB001';
  END IF;
END
$function$;
CREATE PROCEDURE :CONCORDAT_SCHEMA.concordat_close_plain_branch(
  of_branch text, of_transaction text, results text, of_user text
) LANGUAGE plpgsql AS $procedure$
DECLARE
  ignored text;
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
  ignored := pg_catalog.pg_advisory_unlock_all()::text;
  IF pg_catalog.current_setting('synchronous_commit') IN ('off', 'local') THEN
    ignored := pg_catalog.set_config('synchronous_commit', 'on', true);
  END IF;
END
$procedure$;
CREATE FUNCTION :CONCORDAT_SCHEMA.concordat_reset_plain_session() RETURNS text LANGUAGE plpgsql AS $function$
DECLARE
  ignored text;
BEGIN
  RESET SESSION AUTHORIZATION;
  RESET ROLE;
  RESET ALL;
  DISCARD SEQUENCES;
  ignored := pg_catalog.pg_advisory_unlock_all()::text;
  -- triggers make them
  RETURN CASE WHEN pg_catalog.pg_my_temp_schema() <> 0 THEN 'temporary tables' END;
END
$function$;
