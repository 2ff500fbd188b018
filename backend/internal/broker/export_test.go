package broker

// MemoryRooms returns how many rooms the broker has.
func MemoryRooms(b *Memory) int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.rooms)
}
