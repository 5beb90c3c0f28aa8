import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateOrders1796083200001 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('CREATE TABLE product (sku text PRIMARY KEY, price integer NOT NULL CHECK (price > 0))');
    await runner.query(
      `CREATE TABLE shop_order (
         id uuid PRIMARY KEY,
         customer text NOT NULL,
         lines jsonb NOT NULL,
         total integer NOT NULL CHECK (total > 0),
         status text NOT NULL CHECK (status IN ('placed', 'paid'))
       )`,
    );
    await runner.query(`INSERT INTO product VALUES ('beans', 1200), ('grinder', 8900), ('kettle', 4500)`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE shop_order, product');
  }
}
