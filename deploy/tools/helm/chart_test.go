package helm

import (
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

const chart = "../../kubernetes/zonecast"

// least is what has to be set.
const least = `
redis: {url: "redis://zonecast@redis:6379/0"}
secrets: {existing: push-secrets}
`

// valueSets are what the chart is tried with; those of a set come on top of least.
var valueSets = map[string]string{
	"least": "",
	"secrets of the chart's own": `
secrets: {existing: "", values: {AUTH_TOKEN_SECRET: 0123456789abcdef0123456789abcdef, PUBLISH_KEYS: 0123456789abcdef, OPERATOR_PASSWORD: "12345678"}}`,
	"one instance without Redis": `{replicas: 1, redis: {url: ""}}`,
	"ingress with TLS below a path": `
ingress: {enabled: true, className: nginx, host: push.example, path: /push, tlsSecret: push-tls, annotations: {nginx.ingress.kubernetes.io/proxy-buffering: "off"}}
trustedProxies: [10.0.0.0/8, "fd00::/16"]`,
	"scaled, watched and walled in": `
autoscaling: {enabled: true, connections: 1000000}
serviceMonitor: {enabled: true, labels: {release: prometheus}}
networkPolicy: {enabled: true, clients: [{podSelector: {}}], admins: [{namespaceSelector: {}}], egress: [{ports: [{port: 4318}]}]}`,
	"every other value": `
nameOverride: floor
image: {repository: registry.example/zonecast, tag: 1.2.3, pullPolicy: Always}
imagePullSecrets: [{name: registry}]
config: {LOG_LEVEL: debug, MAX_QUEUED_BYTES: 1048576, METRICS_AUTH: true, RATE_LIMIT_REFILL: 2.5, OPERATORS_FILE: /etc/zonecast/operators}
drain: {delaySeconds: 20, timeoutSeconds: 40}
service: {type: LoadBalancer, port: 8080, adminPort: 4001, annotations: {example.com/internal: "true"}}
podDisruptionBudget: {maxUnavailable: 30%}
volumes: [{name: operators, secret: {secretName: operators}}]
volumeMounts: [{name: operators, mountPath: /etc/zonecast, readOnly: true}]
nodeSelector: {kubernetes.io/arch: arm64}
tolerations: [{key: push, operator: Exists}]
affinity: {podAntiAffinity: {}}
podAnnotations: {team: floor}`,
}

// values are those of least with a set on top.
func values(t *testing.T, set string) map[string]any {
	t.Helper()
	base, err := common.ReadValues([]byte(least))
	must(t, err)
	top, err := common.ReadValues([]byte(set))
	must(t, err)
	return util.MergeTables(top, base)
}

// render does what helm template does.
func render(given map[string]any) (map[string]string, error) {
	c, err := loader.Load(chart)
	if err != nil {
		return nil, err
	}
	release := common.ReleaseOptions{Name: "push", Namespace: "floor", Revision: 1, IsInstall: true}
	all, err := util.ToRenderValues(c, given, release, nil)
	if err != nil {
		return nil, err
	}
	return engine.Render(c, all)
}

// A serviceMonitor is as much of the Prometheus operator's type as the chart uses.
type serviceMonitor struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name   string            `json:"name"`
		Labels map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec struct {
		Selector struct {
			MatchLabels map[string]string `json:"matchLabels"`
		} `json:"selector"`
		Endpoints []struct{ Port, Path, Interval string } `json:"endpoints"`
	} `json:"spec"`
}

// manifests are what a set of values makes, by kind and name.
type manifests map[string]any

// read decodes strictly what was rendered: Kubernetes ignores fields that it does not know, here
// they are mistakes.
func read(t *testing.T, set string) manifests {
	t.Helper()
	files, err := render(values(t, set))
	if err != nil {
		t.Fatal(err)
	}
	all := manifests{}
	for name, text := range files {
		if path.Ext(name) != ".yaml" {
			continue
		}
		for document := range strings.SplitSeq(text, "\n---\n") {
			var head struct {
				APIVersion, Kind string
				Metadata         struct{ Name string }
			}
			must(t, yaml.Unmarshal([]byte(document), &head))
			if head.Kind == "" {
				continue
			}
			object := map[string]any{
				"apps/v1 Deployment":                      &appsv1.Deployment{},
				"v1 Service":                              &corev1.Service{},
				"v1 Secret":                               &corev1.Secret{},
				"networking.k8s.io/v1 Ingress":            &networkingv1.Ingress{},
				"networking.k8s.io/v1 NetworkPolicy":      &networkingv1.NetworkPolicy{},
				"autoscaling/v2 HorizontalPodAutoscaler":  &autoscalingv2.HorizontalPodAutoscaler{},
				"policy/v1 PodDisruptionBudget":           &policyv1.PodDisruptionBudget{},
				"monitoring.coreos.com/v1 ServiceMonitor": &serviceMonitor{},
			}[head.APIVersion+" "+head.Kind]
			if object == nil {
				t.Fatalf("%s: %s %s is of a type that is not checked", name, head.APIVersion, head.Kind)
			}
			if err := yaml.UnmarshalStrict([]byte(document), object); err != nil {
				t.Errorf("%s: %v in\n%s", name, err, document)
			}
			all[head.Kind+" "+head.Metadata.Name] = object
		}
	}
	return all
}

// one returns the object of this kind and name.
func one[T any](t *testing.T, all manifests, name string) *T {
	t.Helper()
	object, ok := all[name].(*T)
	if !ok {
		t.Fatalf("there is no %s among %v", name, slices.Sorted(maps.Keys(all)))
	}
	return object
}

func TestTheChartPassesHelmLint(t *testing.T) {
	for name, set := range valueSets {
		// An icon is the only thing that it recommends.
		for _, m := range lint.RunAll(chart, values(t, set), "floor").Messages {
			if m.Severity > support.InfoSev || !strings.Contains(m.Error(), "icon is recommended") {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
}

func TestManifestsAreValidKubernetes(t *testing.T) {
	for name, tt := range map[string][]string{
		"least":                         {},
		"secrets of the chart's own":    {"Secret push"},
		"one instance without Redis":    {},
		"ingress with TLS below a path": {"Ingress push"},
		"scaled, watched and walled in": {"HorizontalPodAutoscaler push", "NetworkPolicy push", "ServiceMonitor push"},
	} {
		got := slices.Sorted(maps.Keys(read(t, valueSets[name])))
		want := slices.Sorted(slices.Values(append(tt, "Deployment push", "PodDisruptionBudget push", "Service push", "Service push-admin")))
		if !slices.Equal(got, want) {
			t.Errorf("%s makes %v, want %v", name, got, want)
		}
	}
	read(t, valueSets["every other value"])
}

// A wrong value is one line that says what to change.
func TestMistakesInTheValuesAreNamed(t *testing.T) {
	for give, want := range map[string]string{
		`{redis: {url: ""}}`: "more than one instance needs redis.url: set it, or replicas to 1",
		`{replicas: 1, redis: {url: ""}, autoscaling: {enabled: true}}`: "more than one instance needs redis.url",
		`{redis: {url: "redis:6379"}}`:                                  "at '/redis/url': 'redis:6379' does not match pattern",
		`{redis: {url: "redis://u:secret@redis:6379"}}`:                 "redis.url has a password in it: give it as REDIS_PASSWORD",
		`{secrets: {existing: ""}}`:                                     "no secrets: set secrets.existing, or secrets.values with AUTH_TOKEN_SECRET",
		`{secrets: {values: {PUBLISH_KEYS: key}}}`:                      "secrets.existing and secrets.values are both set",
		`{secrets: {existing: "", values: {PUBLISH_KEY: key}}}`:         "at '/secrets/values': additional properties 'PUBLISH_KEY' not allowed",
		`{replica: 2}`:                                   "additional properties 'replica' not allowed",
		`{replicas: 0}`:                                  "at '/replicas': minimum: got 0, want 1",
		`{replicas: "3"}`:                                "at '/replicas': got string, want integer",
		`{config: {LOG_LEVLE: debug}}`:                   "at '/config': additional properties 'LOG_LEVLE' not allowed",
		`{config: {PUBLISH_KEYS: key}}`:                  "at '/config': additional properties 'PUBLISH_KEYS' not allowed",
		`{config: {LISTEN: ":80"}}`:                      "at '/config': additional properties 'LISTEN' not allowed",
		`{config: {ALLOWED_HOSTS: [a, b]}}`:              "at '/config/ALLOWED_HOSTS': got array, want boolean or number or string",
		`{drain: {timeoutSeconds: 10s}}`:                 "at '/drain/timeoutSeconds': got string, want integer",
		`{goMemoryLimit: 900Mi}`:                         "at '/goMemoryLimit': '900Mi' does not match pattern",
		`{service: {adminPort: 3001}}`:                   "at '/service/adminPort'",
		`{service: {port: 70000}}`:                       "at '/service/port': maximum: got 70,000, want 65,535",
		`{ingress: {enabled: true, path: push}}`:         "at '/ingress/path': 'push' does not match pattern",
		`{ingress: {enabled: true, tlsSecret: tls}}`:     "ingress.tlsSecret needs ingress.host",
		`{trustedProxies: [10.0.0.1]}`:                   "at '/trustedProxies/0': '10.0.0.1' does not match pattern",
		`{autoscaling: {enabled: true, maxReplicas: 2}}`: "autoscaling.maxReplicas is less than autoscaling.minReplicas",
		`{podDisruptionBudget: {maxUnavailable: 0}}`:     "at '/podDisruptionBudget/maxUnavailable'",
		`{networkPolicy: {clients: everybody}}`:          "at '/networkPolicy/clients': got string, want array",
		`{serviceMonitor: {interval: 5}}`:                "at '/serviceMonitor/interval': got number, want string",
		`{podAnnotations: {number: 5}}`:                  "at '/podAnnotations/number': got number, want string",
	} {
		_, err := render(values(t, give))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", give, err, want)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
