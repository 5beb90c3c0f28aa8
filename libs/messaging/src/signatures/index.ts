export {
  createKey,
  faultOfKeyRequest,
  isSenderPattern,
  SENDER_RULE,
  type CreatedKey,
  type KeyRequest,
} from './create-key.js';
export { MessageSignatures, type MessageSignaturesOptions } from './message-signatures.js';
export { SIGNATURE_HEADER } from './signature-header.js';
export { checkSignatures, createSignatures, SIGNATURE_VARIABLES, signatureSettings } from './variables.js';
export { SIGNATURE_MODES, type SignatureMode, type SignatureSettings } from './settings.js';
