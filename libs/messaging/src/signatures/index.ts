export {
  createKey,
  faultOfKeyRequest,
  isSenderPattern,
  SENDER_RULE,
  type CreatedKey,
  type KeyRequest,
} from './create-key.js';
export { MessageSignatures, SIGNATURE_HEADER, type MessageSignaturesOptions } from './message-signatures.js';
export { checkSignatures, createSignatures, SIGNATURE_VARIABLES, signatureSettings } from './variables.js';
export { SIGNATURE_MODES, type SignatureMode, type SignatureSettings } from './settings.js';
