/**
 * The client for pages without a bundler, as the global `Zonecast`. A server has it at
 * /assets/zonecast.js. Its clients have zone() and warehouse().
 */
export * from './index.js';
export { createClient, createWebSocketClient, withRooms } from './rooms.js';
