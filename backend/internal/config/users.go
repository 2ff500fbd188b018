package config

import "fmt"

// Users has what becomes of a user with too many connections.
type Users struct {
	UserLimitPolicy string `env:"USER_LIMIT_POLICY" default:"refuse" help:"What happens at MAX_CONNECTIONS_PER_USER: refuse = a further connection is refused (4429); replace = it takes the place of the user's oldest on this instance, which is closed with 4409, so that a device whose network dropped silently gets in at once."`
}

// ReplacesOldest reports whether a user's newest connection wins.
func (u Users) ReplacesOldest() bool { return u.UserLimitPolicy == "replace" }

func (u Users) check(perUser int) error {
	switch {
	case u.UserLimitPolicy != "refuse" && !u.ReplacesOldest():
		return fmt.Errorf("--user-limit-policy %q is not one of refuse, replace", u.UserLimitPolicy)
	case u.ReplacesOldest() && perUser == 0:
		return fmt.Errorf("--user-limit-policy replace has no effect without a limit: set MAX_CONNECTIONS_PER_USER, or leave it out")
	}
	return nil
}
