package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// Parse reads command line and environment into grammar, kong's struct of commands. kong stops at
// the first mistake; Parse goes on and returns all of them, each a line of its own. Mistaken values
// become defaults, so that the context can still be checked for more.
func Parse(grammar any, args []string, options ...kong.Option) (*kong.Context, error) {
	var values mistakes
	given := newLookup(args, &values)
	parser, err := kong.New(grammar, append(options, values.collect(), given.option(), secretsFromFiles(&values, given))...)
	if err != nil {
		return nil, err
	}
	unknown := secretsGivenTwice(parser.Model.Node, args)
	for {
		values = nil
		given.file = nil
		command, err := parser.Parse(args)
		if err == nil {
			return command, errors.Join(append(unknown, values...)...)
		}
		rest, ok := withoutUnknown(args, err)
		if !ok {
			return nil, errors.Join(append(append(unknown, values...), err)...)
		}
		unknown, args = append(unknown, err), rest
	}
}

// withoutUnknown takes the flag that kong does not know out of the arguments, and the value that
// seems to belong to it.
func withoutUnknown(args []string, err error) ([]string, bool) {
	rest, ok := strings.CutPrefix(err.Error(), "unknown flag ")
	if !ok {
		return nil, false
	}
	name, _, _ := strings.Cut(rest, ",")
	i := slices.IndexFunc(args, func(a string) bool { return a == name || strings.HasPrefix(a, name+"=") })
	if i < 0 {
		return nil, false
	}
	end := i + 1
	if args[i] == name && end < len(args) && !strings.HasPrefix(args[end], "-") {
		end++
	}
	return slices.Delete(slices.Clone(args), i, end), true
}

// mistakes are those in the values of settings.
type mistakes []error

// collect makes kong go on after a value that can't be read.
func (m *mistakes) collect() kong.Option {
	kinds := kong.NewRegistry().RegisterDefaults()
	var options []kong.Option
	for _, t := range []reflect.Type{reflect.TypeFor[int](), reflect.TypeFor[uint64](), reflect.TypeFor[float64]()} {
		options = append(options, kong.KindMapper(t.Kind(), lenient{kinds.ForType(t), m}))
	}
	options = append(options, kong.TypeMapper(reflect.TypeFor[time.Duration](), lenient{kinds.ForType(reflect.TypeFor[time.Duration]()), m}),
		kong.KindMapper(reflect.Bool, lenientBool{lenient{kinds.ForType(reflect.TypeFor[bool]()), m}}))
	return kong.OptionFunc(func(k *kong.Kong) error {
		for _, o := range options {
			if err := o.Apply(k); err != nil {
				return err
			}
		}
		return nil
	})
}

// lenient decodes like another mapper. What can't be decoded is a mistake, and becomes the default.
type lenient struct {
	kong.Mapper
	mistakes *mistakes
}

// Decode implements kong.Mapper.
func (l lenient) Decode(c *kong.DecodeContext, target reflect.Value) error {
	err := l.Mapper.Decode(c, target)
	if err == nil {
		return nil
	}
	name := c.Value.ShortSummary()
	if env := strings.Join(c.Value.Tag.Envs, ", "); env != "" {
		name += " (" + env + ")"
	}
	err = fmt.Errorf("%s: %w", name, err)
	// Another command may have reported it.
	if !slices.ContainsFunc(*l.mistakes, func(had error) bool { return had.Error() == err.Error() }) {
		*l.mistakes = append(*l.mistakes, err)
	}
	if !c.Value.HasDefault {
		target.SetZero()
		return nil
	}
	return l.Mapper.Decode(c.WithScanner(kong.ScanFromTokens(kong.Token{Type: kong.FlagValueToken, Value: c.Value.Default})), target)
}

// lenientBool tells kong that a flag needs no value.
type lenientBool struct{ lenient }

// IsBool implements kong.BoolMapper.
func (lenientBool) IsBool() bool { return true }
