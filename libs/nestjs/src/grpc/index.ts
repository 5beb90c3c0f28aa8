export { joiningInterceptor } from './joining-interceptor.js';
