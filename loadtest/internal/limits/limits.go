// Package limits knows what the system allows the load tester, and what it used of it.
package limits

import "fmt"

// spare is how many descriptors are kept for everything that is not a connection of the run: the standard streams, the
// result file, the poller, name look-ups.
const spare = 50

// A DescriptorError says that the system does not allow as many connections as the run needs.
type DescriptorError struct{ Need, Have uint64 }

func (e *DescriptorError) Error() string {
	most := uint64(0)
	if e.Have > spare {
		most = e.Have - spare
	}
	return fmt.Sprintf("the run needs %d file descriptors and this process may have %d: raise the limit (ulimit -n %d), "+
		"or ask for at most %d connections and publishers together", e.Need, e.Have, e.Need, most)
}

// Descriptors makes sure that the process may open so many connections at once, raising its limit up to the hard one if
// it must. The error is a [*DescriptorError].
func Descriptors(connections int) error {
	need := uint64(connections) + spare
	have, err := raise(need)
	if err != nil {
		return fmt.Errorf("read the limit of file descriptors: %w", err)
	}
	if have < need {
		return &DescriptorError{Need: need, Have: have}
	}
	return nil
}
