export { LogCorruptedError, StorageClosedError, StorageFailedError } from './errors.js';
export { StorageFormatError, StorageLockedError, StorageOwnerError } from './errors.js';
export { FileStorage, type FileStorageOptions } from './file-storage.js';
export { nodeFileSystem, type File, type FileSystem, type OpenMode } from './file-system.js';
export { noClaims, socketClaims, type DirectoryClaim, type DirectoryClaims } from './directory-claim.js';
export { systemProcessTable, type ProcessTable } from './process-table.js';
export { MemoryStorage, type MemoryStorageOptions } from './memory-storage.js';
