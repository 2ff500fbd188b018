package hub

// A turn is a lock that may be held for as long as Redis takes. Unlike a sync.Mutex,
// testing/synctest sees that those who wait for it are at rest, so a simulation can go on
// meanwhile.
type turn chan struct{}

func (t turn) Lock()   { t <- struct{}{} }
func (t turn) Unlock() { <-t }
