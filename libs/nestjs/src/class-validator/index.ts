export { dtoSchema, type DtoSchemaOptions } from './dto-schema.js';
