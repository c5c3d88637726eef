package main

import (
	"testing"
	"time"
)

// TestDistribute: a share of the samples is not above what is told of it, whatever order they came in.
func TestDistribute(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100-i) * time.Millisecond
	}
	for _, c := range []struct {
		took []time.Duration
		want distribution
	}{
		{hundred, distribution{Min: 1, Median: 51, P90: 91, P99: 100, Max: 100}},
		{[]time.Duration{1500 * time.Microsecond}, distribution{1.5, 1.5, 1.5, 1.5, 1.5}},
		{[]time.Duration{2 * time.Millisecond, time.Millisecond}, distribution{1, 2, 2, 2, 2}},
	} {
		if got := distribute(c.took); got != c.want {
			t.Errorf("%d samples: %+v, want %+v", len(c.took), got, c.want)
		}
	}
}
