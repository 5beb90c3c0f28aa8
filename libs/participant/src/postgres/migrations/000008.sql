-- `concordat_close_branch` again, in less time: counting the statements was most of its work, and an aggregate over a
-- short list takes longer than a loop. And what makes PREPARE and COMMIT flush, which was a statement of its own behind
-- it: PREPARE waits for a synchronous standby as the setting says that RESET ALL has just taken back.
CREATE OR REPLACE FUNCTION :CONCORDAT_SCHEMA.concordat_close_branch(
  of_branch text, of_transaction text, results text, of_user text
) RETURNS int LANGUAGE plpgsql AS $function$
DECLARE
  unlocked text;
  made_by_prepare boolean;
  named_statements int := 0;
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
  FOR made_by_prepare IN SELECT from_sql FROM pg_catalog.pg_prepared_statement() LOOP
    IF made_by_prepare THEN
      named_statements := -1;
      EXIT;
    END IF;
    named_statements := named_statements + 1;
  END LOOP;
  IF pg_catalog.current_setting('synchronous_commit') IN ('off', 'local') THEN
    PERFORM pg_catalog.set_config('synchronous_commit', 'on', true);
  END IF;
  RETURN named_statements;
END
$function$;
