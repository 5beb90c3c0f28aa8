import { BadRequestException, type PipeTransform } from '@nestjs/common';
import { z } from 'zod';

/** Checks a body; a wrong one is answered 400, with the fields that are wrong. */
export class SchemaPipe<Output> implements PipeTransform<unknown, Output> {
  constructor(private readonly schema: z.ZodType<Output>) {}

  transform(value: unknown): Output {
    const result = this.schema.safeParse(value);
    if (result.success) return result.data;
    throw new BadRequestException(z.prettifyError(result.error));
  }
}
