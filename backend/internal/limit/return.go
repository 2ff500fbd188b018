package limit

import "time"

// Return gives back n tokens that were spent, for what turned out to be free.
func (k *Keyed) Return(key string, n float64, now time.Time) { k.Spend(key, -n, now) }
