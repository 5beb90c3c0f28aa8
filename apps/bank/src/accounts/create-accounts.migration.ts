import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The table and the opening accounts acc-0..acc-99 with 1,000 each. */
export class CreateAccounts1767225600000 implements MigrationInterface {
  readonly name = 'CreateAccounts1767225600000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      'CREATE TABLE IF NOT EXISTS account (id text PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0))',
    );
    await runner.query(
      `INSERT INTO account (id, balance) SELECT 'acc-' || n, 1000 FROM generate_series(0, 99) n
       ON CONFLICT (id) DO NOTHING`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE account');
  }
}
