/** What tests of other parts may see of the client: what it expects of the coordinators' answers. */
export { isKnownCode } from '../errors/error-of-problem.js';
export type { ShapeData } from '../model/shape.js';
export {
  begunShape,
  branchShape,
  clusterShape,
  inDoubtPageShape,
  lockPageShape,
  lockShape,
  problemShape,
  resolutionShape,
  transactionPageShape,
  transactionShape,
} from '../model/shapes.js';
