import { BadRequestException, Body, Controller, Get, Inject, Put } from '@nestjs/common';
import { FailpointSpecificationError, type ArmableFailpoints } from '@concordat/foundation';
import { z } from 'zod';
import { SchemaPipe } from './schema.pipe.js';
import { FAILPOINTS } from './tokens.js';

const armSchema = z.strictObject({ arm: z.string().max(4_096) });

interface FailpointList {
  readonly armed: readonly string[];
  readonly known: readonly string[];
}

/** Arms the crash points of this process, for the failure lab. Exists only with `CONCORDAT_FAILPOINTS`. */
@Controller('debug/failpoints')
export class FailpointsController {
  constructor(@Inject(FAILPOINTS) private readonly failpoints: ArmableFailpoints) {}

  @Get()
  list(): FailpointList {
    return { armed: this.failpoints.list(), known: this.failpoints.known };
  }

  @Put()
  arm(@Body(new SchemaPipe(armSchema)) { arm }: z.output<typeof armSchema>): FailpointList {
    try {
      this.failpoints.arm(arm);
    } catch (error) {
      if (error instanceof FailpointSpecificationError) throw new BadRequestException(error.message);
      throw error;
    }
    return this.list();
  }
}
