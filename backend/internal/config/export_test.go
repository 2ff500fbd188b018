package config

// Merge is merge for tests.
func (c *Config) Merge(read *Config) (*Config, []Change, []Change) { return c.merge(read) }
