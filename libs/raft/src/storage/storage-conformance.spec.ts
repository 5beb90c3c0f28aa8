import { SeededRandom } from '@concordat/foundation';
import { MemoryStorage } from '../driver/memory-storage.js';
import { MemoryFileSystem } from './memory-file-system.js';
import { describeRaftStorage } from './testing/storage-conformance.js';
import { memoryStorage } from './testing/storage-model.js';

describeRaftStorage('MemoryStorage', () => {
  const storage = new MemoryStorage();
  return {
    losesUnsynced: false,
    storage: () => storage,
    kill: () => storage.crash(),
    fillDisk: () => storage.fillDisk(),
    freeDisk: () => storage.freeDisk(),
  };
});

describeRaftStorage('FileStorage', () => {
  let fileSystem = new MemoryFileSystem();
  return {
    losesUnsynced: false,
    storage: () => memoryStorage(fileSystem),
    // only the process dies: the system still has what was not synced
    kill: () => {
      const next = MemoryFileSystem.of(fileSystem.files());
      next.capacityBytes = fileSystem.capacityBytes;
      fileSystem = next;
    },
    fillDisk: () => {
      fileSystem.capacityBytes = fileSystem.usedBytes();
    },
    freeDisk: () => {
      fileSystem.capacityBytes = Number.POSITIVE_INFINITY;
    },
  };
});

describeRaftStorage('FileStorage after a loss of power', () => {
  let fileSystem = new MemoryFileSystem();
  const random = new SeededRandom(5);
  return {
    losesUnsynced: true,
    storage: () => memoryStorage(fileSystem),
    kill: () => {
      fileSystem = fileSystem.restart(random);
    },
    fillDisk: () => {
      fileSystem.capacityBytes = fileSystem.usedBytes();
    },
    freeDisk: () => {
      fileSystem.capacityBytes = Number.POSITIVE_INFINITY;
    },
  };
});
