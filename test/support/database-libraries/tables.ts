import { integer, pgTable, text } from 'drizzle-orm/pg-core';
import { EntitySchema } from 'typeorm';

export interface Item {
  id: string;
  quantity: number;
}

export const ITEM = new EntitySchema<Item>({
  name: 'Item',
  tableName: 'item',
  columns: { id: { type: 'text', primary: true }, quantity: { type: 'int', default: 0 } },
});

export const item = pgTable('item', {
  id: text().primaryKey(),
  quantity: integer().notNull().default(0),
});
