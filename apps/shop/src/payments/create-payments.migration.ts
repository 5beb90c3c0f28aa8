import type { MigrationInterface, QueryRunner } from 'typeorm';

/** in cents; `broke` has none */
export const INITIAL_CREDIT = 1_000_000_000;

export class CreatePayments1796083200003 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('CREATE TABLE customer (name text PRIMARY KEY, credit integer NOT NULL CHECK (credit >= 0))');
    await runner.query(
      `CREATE TABLE payment (
         "orderId" uuid PRIMARY KEY,
         customer text NOT NULL REFERENCES customer,
         amount integer NOT NULL CHECK (amount > 0)
       )`,
    );
    await runner.query(
      `INSERT INTO customer
       SELECT name, ${INITIAL_CREDIT} FROM unnest(ARRAY['ada', 'alan', 'barbara', 'edsger', 'grace', 'leslie']) AS name
       UNION ALL SELECT 'broke', 0`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE payment, customer');
  }
}
