// Package demo plays a simulated shift to a Zonecast server, through the public publish API and as
// any service would, so that dashboard and wall screens have something true to show.
//
//	floor (seeded, no clock) ──▶ stage: what is due this beat ──▶ Publisher ──▶ POST /broadcast
//	        ▲                          ▲                             │
//	        └── real time × speed      └── what failed: due again ◀──┘
//
// [Run] moves the simulated time and publishes, four times a second:
//
//   - an ALERT in the beat in which it is raised or cleared,
//   - a ZONE_UPDATE of each zone every 1.5 seconds of real time, whatever the speed, in turns,
//   - a retained SHIFT_SNAPSHOT of each zone and warehouse every 30 seconds of simulated time, but
//     at most once a second of real time; and when a shift begins.
//
// That bounds what it publishes at any speed, alerts aside, whose number is that of the simulated
// incidents.
//
// When the server can't be reached, the shift goes on. Updates that could not be published are not
// made up for: they are old. The rooms that missed something get a snapshot as soon as publishing
// works again, and alerts wait until they are published, unless they have been cleared meanwhile
// without anybody having seen them.
//
// [RunCrowd] opens the connections of those who look on, over /ws like any client: wall screens of
// each zone, which stay, and handhelds, which come and go, seeded too.
package demo
