-- A function, because its plans are kept by the session: 50 µs of the server's time less for each branch. The ledger is
-- read by a statement of its own behind the lock, so that its snapshot is younger than the lock.
CREATE FUNCTION :CONCORDAT_SCHEMA.concordat_open_branch(
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
    RAISE EXCEPTION 'branch % is at work or prepared', of_branch USING ERRCODE = 'CB001';
  END IF;
  IF EXISTS (SELECT FROM :CONCORDAT_SCHEMA.concordat_branch WHERE branch_id = of_branch::uuid) THEN
    RAISE EXCEPTION 'branch % is in the ledger', of_branch USING ERRCODE = 'CB001';
  END IF;
END
$function$;
