package main

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/quorate-pki/quorate/ledger/node"
)

// healthMetrics says in numbers what /healthz says, of each channel. It asks the nodes at every scrape and keeps nothing.
type healthMetrics struct {
	channels func() []*channel
	now      func() time.Time
	ok       *prometheus.Desc
	info     *prometheus.Desc
	age      *prometheus.Desc
	gauges   []healthGauge
}

type healthGauge struct {
	desc  *prometheus.Desc
	value func(node.Health) float64
}

func newHealthMetrics(channels func() []*channel, now func() time.Time) *healthMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("quorate_"+name, help, append([]string{"channel"}, labels...), nil)
	}
	m := &healthMetrics{channels: channels, now: now,
		ok:   desc("ok", "1 while the node can do its work."),
		info: desc("info", "Always 1; who this is and which engine orders.", "member", "origin", "engine", "tolerates"),
		age:  desc("cosignature_age_seconds", "Age of a member's cosignature on the final checkpoint; absent without one.", "member"),
	}
	add := func(name, help string, value func(node.Health) float64) {
		m.gauges = append(m.gauges, healthGauge{desc(name, help), value})
	}
	add("height", "Height of the newest executed block.", func(h node.Health) float64 { return float64(h.Height) })
	add("final_height", "Height up to which a quorum has cosigned.", func(h node.Health) float64 { return float64(h.Final) })
	add("lag_blocks", "Executed blocks that are not final here.", func(h node.Health) float64 { return float64(h.Lag) })
	add("log_size", "Leaves of the final log.", func(h node.Health) float64 { return float64(h.Size) })
	add("orderer_view", "The orderer's term.", func(h node.Health) float64 { return float64(h.Orderer.View) })
	add("orderer_leads", "1 while this member leads.", func(h node.Health) float64 {
		return truth(h.Orderer.Leader == h.Member || h.Orderer.Leader == "self")
	})
	add("orderer_pool_bytes", "Bytes of transactions that wait for a block here.", func(h node.Health) float64 { return float64(h.Orderer.PoolBytes) })
	add("diverged", "1 once this node computed another log than it or a quorum signed.", func(h node.Health) float64 { return truth(h.Diverged != "") })
	return m
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Describe implements prometheus.Collector.
func (m *healthMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.ok
	ch <- m.info
	ch <- m.age
	for _, g := range m.gauges {
		ch <- g.desc
	}
}

// Collect implements prometheus.Collector.
func (m *healthMetrics) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, c := range m.channels() {
		m.collect(ctx, c, ch)
	}
}

func (m *healthMetrics) collect(ctx context.Context, c *channel, ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{c.name}, labels...)...)
	}
	h, err := c.health(ctx)
	gauge(m.ok, truth(err == nil && h.OK))
	if n, _ := c.running(); err != nil || n == nil {
		return
	}
	gauge(m.info, 1, h.Member, h.Origin, h.Orderer.Engine, h.Orderer.Tolerates)
	for _, g := range m.gauges {
		gauge(g.desc, g.value(h))
	}
	for member, at := range h.Cosigned {
		gauge(m.age, m.now().Sub(at).Seconds(), member)
	}
}

// metrics serves the Prometheus text format.
func metrics(channels func() []*channel) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(newHealthMetrics(channels, time.Now))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}
