/** A step of the ledger's schema. Steps are only ever added; a released one never changes. */
export interface LedgerMigration {
  readonly version: number;
  sql(schema: string): string;
}

/** SQLSTATE of `concordat_open_branch`: the branch is at work elsewhere, prepared, or in the ledger. */
export const BRANCH_OCCUPIED = 'CB001';

export const LEDGER_MIGRATIONS: readonly LedgerMigration[] = [
  {
    version: 1,
    sql: (schema) => `
      CREATE TABLE "${schema}".concordat_branch (
        branch_id uuid PRIMARY KEY,
        transaction_id uuid NOT NULL,
        outcome text NOT NULL CHECK (outcome IN ('committed', 'aborted')),
        result json,
        updated_at timestamptz NOT NULL DEFAULT now()
      );
      COMMENT ON TABLE "${schema}".concordat_branch IS
        'How the branches of global transactions ended here. Do not edit: the outcome of transactions hangs on it.'`,
  },
  {
    // A function, because its plans are kept by the session: 50 µs of the server's time less for each branch. The
    // ledger is read by a statement of its own behind the lock, so that its snapshot is younger than the lock.
    version: 2,
    sql: (schema) => `
      CREATE FUNCTION "${schema}".concordat_open_branch(
        of_branch text, lock_timeout_ms int, statement_timeout_ms int, check_interval_ms int
      ) RETURNS void LANGUAGE plpgsql AS $function$
      BEGIN
        PERFORM set_config('lock_timeout', lock_timeout_ms::text, true),
          set_config('statement_timeout', statement_timeout_ms::text, true),
          set_config('idle_in_transaction_session_timeout', statement_timeout_ms::text, true);
        IF check_interval_ms > 0 THEN
          PERFORM set_config('client_connection_check_interval', check_interval_ms::text, true);
        END IF;
        IF NOT pg_try_advisory_xact_lock(hashtextextended(of_branch, 0)) THEN
          RAISE EXCEPTION 'branch % is at work or prepared', of_branch USING ERRCODE = '${BRANCH_OCCUPIED}';
        END IF;
        IF EXISTS (SELECT FROM "${schema}".concordat_branch WHERE branch_id = of_branch::uuid) THEN
          RAISE EXCEPTION 'branch % is in the ledger', of_branch USING ERRCODE = '${BRANCH_OCCUPIED}';
        END IF;
      END
      $function$`,
  },
  {
    // Beside the ledger, whose row lies inside the prepared transaction and cannot be written while that is open.
    // `promised` and `accepted` are ballots: a round and a proposer each.
    version: 3,
    sql: (schema) => `
      CREATE TABLE "${schema}".concordat_acceptor (
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
      COMMENT ON TABLE "${schema}".concordat_acceptor IS
        'Votes and ballots of branches in three phases. Do not edit: the outcome of transactions hangs on it.'`,
  },
  {
    // `concordat_close_branch`: the last statement before PREPARE or COMMIT. What is deferred runs first, as the handlers
    // have set the session up for it; then the session is made what it was, so that nothing reaches the next branch and
    // whoever prepares the transaction may also end it (a role would own it). All of it in the call that writes the
    // ledger row, whose kept plan pays for it.
    // `concordat_reset_session`: the same after every other end, and what only a commit lets out. Neither drops plans;
    // what has no reset in a transaction is named, and makes the session unfit.
    version: 4,
    sql: (schema) => `
      CREATE FUNCTION "${schema}".concordat_close_branch(of_branch text, of_transaction text, results text, of_user text)
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
        INSERT INTO "${schema}".concordat_branch (branch_id, transaction_id, outcome, result)
          VALUES (of_branch::uuid, of_transaction::uuid, 'committed', results::json);
        RESET ALL; -- behind the row, which waits for others' locks no longer than the branch may
        DISCARD SEQUENCES;
        unlocked := pg_catalog.pg_advisory_unlock_all()::text;
        SELECT CASE WHEN bool_or(from_sql) THEN -1 ELSE count(*) END
          INTO named_statements FROM pg_catalog.pg_prepared_statement();
        RETURN named_statements;
      END
      $function$;
      CREATE FUNCTION "${schema}".concordat_reset_session(OUT left_behind text, OUT named_statements int)
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
      $function$`,
  },
  {
    // Tombstones of before tell nobody of a decision: that is safe, others ask a majority then.
    version: 5,
    sql: (schema) => `
      ALTER TABLE "${schema}".concordat_branch ADD COLUMN decided boolean NOT NULL DEFAULT false;
      COMMENT ON COLUMN "${schema}".concordat_branch.decided IS
        'Of an aborted branch: it was told the decision. Otherwise the row only stops a late prepare.'`,
  },
  {
    // One row at most: prepared transactions are found by cluster and database alone, so a database is one participant's.
    version: 6,
    sql: (schema) => `
      CREATE TABLE "${schema}".concordat_owner (
        is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
        cluster text NOT NULL,
        participant text NOT NULL,
        since timestamptz NOT NULL DEFAULT now()
      );
      COMMENT ON TABLE "${schema}".concordat_owner IS
        'The participant that this database belongs to. Another one refuses to start on it.'`,
  },
  {
    // Which database this is. A copy, or a standby that was promoted, finds here that it is another one.
    version: 7,
    sql: (schema) => `
      CREATE TABLE "${schema}".concordat_database (
        is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
        system_identifier text,
        timeline int NOT NULL,
        abstains_before timestamptz,
        recognised_at timestamptz NOT NULL DEFAULT now()
      );
      COMMENT ON TABLE "${schema}".concordat_database IS
        'Which database this is. Of transactions in three phases that began before abstains_before its branches say nothing, because it may have lost what they had promised.'`,
  },
  {
    // `concordat_close_branch` again, in less time: counting the statements was most of its work, and an aggregate over
    // a short list takes longer than a loop. And what makes PREPARE and COMMIT flush, which was a statement of its own behind
    // it: PREPARE waits for a synchronous standby as the setting says that RESET ALL has just taken back.
    version: 8,
    sql: (schema) => `
      CREATE OR REPLACE FUNCTION "${schema}".concordat_close_branch(
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
        INSERT INTO "${schema}".concordat_branch (branch_id, transaction_id, outcome, result)
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
      $function$`,
  },
];
