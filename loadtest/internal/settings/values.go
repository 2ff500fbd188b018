package settings

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// readValues makes flags of numbers and durations say what is wrong, and what to write.
func readValues() kong.Option {
	return kong.OptionFunc(func(k *kong.Kong) error {
		return errors.Join(
			kong.KindMapper(reflect.Int, mapper(func(text string, target reflect.Value) error {
				n, err := wholeNumber(text, math.MinInt64)
				target.SetInt(n)
				return err
			})).Apply(k),
			kong.KindMapper(reflect.Uint64, mapper(func(text string, target reflect.Value) error {
				n, err := wholeNumber(text, 0)
				target.SetUint(uint64(n))
				return err
			})).Apply(k),
			kong.KindMapper(reflect.Float64, mapper(func(text string, target reflect.Value) error {
				n, err := strconv.ParseFloat(text, 64)
				if err != nil {
					return errors.New("is not a number")
				}
				target.SetFloat(n)
				return nil
			})).Apply(k),
			kong.TypeMapper(reflect.TypeFor[time.Duration](), mapper(func(text string, target reflect.Value) error {
				d, err := duration(text)
				target.SetInt(int64(d))
				return err
			})).Apply(k))
	})
}

// mapper makes a mapper of a function that reads a value; its error follows the quoted value.
func mapper(read func(text string, target reflect.Value) error) kong.MapperFunc {
	return func(ctx *kong.DecodeContext, target reflect.Value) error {
		like := "1000"
		if ctx.Value != nil && ctx.Value.HasDefault {
			like = ctx.Value.Default
		}
		if next := ctx.Scan.Peek(); next.IsEOL() || strings.HasPrefix(next.String(), "--") {
			return fmt.Errorf("a value is missing: write it like %s", like)
		}
		text := strings.TrimSpace(fmt.Sprint(ctx.Scan.Pop().Value))
		if text == "" {
			return fmt.Errorf("it is empty: write it like %s, or leave it out", like)
		}
		if err := read(text, target); err != nil {
			return fmt.Errorf("%q %w: write it like %s", text, err, like)
		}
		return nil
	}
}

// mostWhole is the highest number up to which other formats keep every whole one apart.
const mostWhole = 1 << 53

// wholeNumber reads a number without a fraction, also as YAML and people write large ones: 1e6.
func wholeNumber(text string, least float64) (int64, error) {
	n, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange), math.IsNaN(n), n != math.Trunc(n):
		return 0, errors.New("is not a whole number")
	case n < least:
		return 0, fmt.Errorf("is below %.0f", least)
	case math.Abs(n) > mostWhole:
		return 0, errors.New("is too much")
	}
	return int64(n), nil
}

// duration reads a duration as people write it: 90s, 5m, or seconds as a plain number.
func duration(text string) (time.Duration, error) {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(seconds) {
		if math.Abs(seconds) > maxSpan.Seconds() {
			return 0, fmt.Errorf("is longer than %v", maxSpan)
		}
		return time.Duration(seconds * float64(time.Second)), nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, errors.New("is not a duration")
	}
	return d, nil
}

// joinNegatives returns the arguments with numbers below 0 as a part of their flags, for what
// begins with a - would be another flag: they are refused for what they are.
func joinNegatives(args []string) []string {
	var out []string
	for _, arg := range args {
		last := len(out) - 1
		negative := len(arg) > 1 && arg[0] == '-' && (arg[1] == '.' || arg[1] >= '0' && arg[1] <= '9')
		if negative && last >= 0 && strings.HasPrefix(out[last], "--") && !strings.Contains(out[last], "=") {
			out[last] += "=" + arg
			continue
		}
		out = append(out, arg)
	}
	return out
}
