import { Inject } from '@nestjs/common';
import { DataSource } from 'typeorm';

/** Injects the bank's `DataSource`, which may not be connected yet. */
export const InjectDataSource = (): ParameterDecorator => Inject(DataSource);
