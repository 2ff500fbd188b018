// Package floor simulates the working days of a few warehouses: who is at work, what they have
// picked, what is still open, and what goes wrong.
//
//	wave planner ─▶ picking zones ─▶ packing ─▶ dispatch ─▶ trucks
//	                      ▲              ▲          ▲
//	      rosters, breaks, fatigue, chance, incidents (raise and clear alerts)
//
// Units flow through each warehouse and none appears or vanishes on the way: what a picking zone
// has picked reaches packing a few minutes later, so that a stopped conveyor in one zone starves
// the next. A zone's rate follows from the people who are there, how long they have worked, the
// orders that wait, and its incidents; the units done are the sum of the rate.
//
// The package has no clock, no goroutine and no output. Time passes by [Floor.Advance] alone, in
// steps of one second, and what happens depends on the seed and the time of the start: not on how
// the steps are taken. (Processors of different kinds may round differently in the last bit, and
// their days drift apart.)
package floor
