/**
 * The client for pages without a bundler, as the global `Zonecast`. A server has it at
 * /assets/zonecast.js.
 */
export * from './index.js';
export { withRooms } from './rooms.js';
