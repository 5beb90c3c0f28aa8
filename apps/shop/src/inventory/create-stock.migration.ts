import type { MigrationInterface, QueryRunner } from 'typeorm';

export const INITIAL_STOCK = 1_000_000;

export class CreateStock1796083200002 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('CREATE TABLE stock (sku text PRIMARY KEY, available integer NOT NULL CHECK (available >= 0))');
    await runner.query(
      `CREATE TABLE reservation (
         "orderId" uuid,
         sku text REFERENCES stock,
         quantity integer NOT NULL CHECK (quantity > 0),
         PRIMARY KEY ("orderId", sku)
       )`,
    );
    await runner.query(
      `INSERT INTO stock VALUES ('beans', ${INITIAL_STOCK}), ('grinder', ${INITIAL_STOCK}), ('kettle', ${INITIAL_STOCK})`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE reservation, stock');
  }
}
