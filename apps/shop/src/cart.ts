import { z } from 'zod';

const name = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[a-z0-9-]+$/, 'use lower-case letters, digits and hyphens');

/** What a customer wants: at most 20 lines, each product once. */
export const cartSchema = z.strictObject({
  customer: name,
  lines: z
    .array(z.strictObject({ sku: name, quantity: z.int().min(1).max(100) }))
    .min(1)
    .max(20)
    .refine((lines) => new Set(lines.map(({ sku }) => sku)).size === lines.length, 'names a product twice'),
});
export type Cart = z.output<typeof cartSchema>;

export const reservationSchema = z.strictObject({ orderId: z.uuid(), lines: cartSchema.shape.lines });
export type ReservationRequest = z.output<typeof reservationSchema>;

/** Amounts are in cents. */
export const chargeSchema = z.strictObject({ orderId: z.uuid(), customer: name, amount: z.int().min(1) });
export type ChargeRequest = z.output<typeof chargeSchema>;
