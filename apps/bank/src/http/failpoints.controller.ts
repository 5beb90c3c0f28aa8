import { BadRequestException, Body, Controller, Get, Inject, Put, UseFilters } from '@nestjs/common';
import { FailpointSpecificationError, type ArmableFailpoints } from '@concordat/foundation';
import { z } from 'zod';
import { FAILPOINTS } from '../tokens.js';
import { ProblemFilter } from './problem.filter.js';

const bodySchema = z.strictObject({ arm: z.string().max(4_096) });

export interface FailpointList {
  readonly armed: readonly string[];
  readonly known: readonly string[];
}

/** Arms the crash points of this process. Exists only with `CONCORDAT_FAILPOINTS`. */
@Controller('debug/failpoints')
@UseFilters(ProblemFilter)
export class FailpointsController {
  constructor(@Inject(FAILPOINTS) private readonly failpoints: ArmableFailpoints) {}

  @Get()
  list(): FailpointList {
    return { armed: this.failpoints.list(), known: this.failpoints.known };
  }

  @Put()
  arm(@Body() body: unknown): FailpointList {
    const parsed = bodySchema.safeParse(body);
    if (!parsed.success) throw new BadRequestException('the body must be {"arm": "<specification>"}', INVALID);
    try {
      this.failpoints.arm(parsed.data.arm);
    } catch (error) {
      if (error instanceof FailpointSpecificationError) throw new BadRequestException(error.message, INVALID);
      throw error;
    }
    return this.list();
  }
}

const INVALID = { cause: 'INVALID_FAILPOINT' };
