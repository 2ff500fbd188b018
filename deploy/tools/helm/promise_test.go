package helm

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const repository = "../../.."

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, name))
	must(t, err)
	return string(text)
}

// pod returns what an instance runs in, and its only container.
func pod(t *testing.T, all manifests, name string) (*appsv1.Deployment, corev1.Container) {
	t.Helper()
	d := one[appsv1.Deployment](t, all, "Deployment "+name)
	if n := len(d.Spec.Template.Spec.Containers); n != 1 {
		t.Fatalf("a pod has %d containers", n)
	}
	return d, d.Spec.Template.Spec.Containers[0]
}

func environment(c corev1.Container) map[string]string {
	all := map[string]string{}
	for _, e := range c.Env {
		all[e.Name] = e.Value
	}
	return all
}

// settings are the names of all settings, which docs/configuration.md lists.
func settings(t *testing.T) (all []string) {
	t.Helper()
	for _, row := range regexp.MustCompile("(?m)^\\| (`[A-Z0-9_`, ]+`) \\|").FindAllStringSubmatch(readFile(t, "docs/configuration.md"), -1) {
		for name := range strings.SplitSeq(row[1], ", ") {
			all = append(all, strings.Trim(name, "`"))
		}
	}
	if len(all) < 60 {
		t.Fatalf("docs/configuration.md has %d settings", len(all))
	}
	slices.Sort(all)
	return all
}

var update = flag.Bool("update", false, "write the names of the settings into the chart's schema")

// byChart are the settings that have values of their own.
var byChart = []string{"LISTEN", "ADMIN_LISTEN", "NODE_NAME", "REDIS_URL", "DRAIN_DELAY", "DRAIN_TIMEOUT", "TRUSTED_PROXIES"}

// The schema knows every setting: what is no setting is refused, and a secret has to be among the
// secrets.
func TestTheSchemaKnowsEverySetting(t *testing.T) {
	all := settings(t)
	var plain, secret []string
	for _, name := range all {
		switch {
		case slices.Contains(byChart, name):
		case slices.Contains(all, name+"_FILE"): // what can be read from a file of its own is one
			secret = append(secret, name)
		default:
			plain = append(plain, name)
		}
	}
	schema := readFile(t, "deploy/kubernetes/zonecast/values.schema.json")
	want := schema
	for _, block := range []struct {
		key   string
		names []string
	}{{"config", plain}, {"values", secret}} {
		at := regexp.MustCompile(`(?sm)("` + block.key + `": \{\s+"description": [^\n]+\n( +)"type": "object",\n[^\n]+\n +"properties": \{\n).*?^ +\}\n`)
		if !at.MatchString(want) {
			t.Fatalf("values.schema.json has no %s as this test knows it", block.key)
		}
		indent := at.FindStringSubmatch(want)[2]
		lines := make([]string, 0, len(block.names))
		for _, name := range block.names {
			lines = append(lines, fmt.Sprintf(`%s  %q: { "$ref": "#/$defs/setting" }`, indent, name))
		}
		want = at.ReplaceAllString(want, "${1}"+strings.ReplaceAll(strings.Join(lines, ",\n"), "$", "$$")+"\n"+indent+"}\n")
	}
	if want == schema {
		return
	}
	if !*update {
		t.Fatal("values.schema.json does not have all settings: cd deploy/tools/helm && GOWORK=off go test . -update")
	}
	must(t, os.WriteFile(filepath.Join(repository, "deploy/kubernetes/zonecast/values.schema.json"), []byte(want), 0o644))
}

// What the program is given is what it takes: each set of values makes an environment in which
// zonecast check finds nothing to change.
func TestTheProgramAcceptsItsSettings(t *testing.T) {
	program := os.Getenv("ZONECAST_BIN")
	if program == "" {
		program = filepath.Join(t.TempDir(), "zonecast")
		if out, err := exec.Command("go", "build", "-C", filepath.Join(repository, "backend"), "-o", program, "./cmd/zonecast").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	known := append(settings(t), "GOMEMLIMIT") // which is Go's
	for name, set := range valueSets {
		all, release := read(t, set), "push"
		if strings.Contains(set, "nameOverride") {
			release = "floor"
		}
		_, c := pod(t, all, release)
		command := exec.Command(program, "check")
		if len(c.EnvFrom) != 1 || c.EnvFrom[0].SecretRef.Name == "" {
			t.Fatalf("%s: secrets come from %v", name, c.EnvFrom)
		}
		if own, ok := all["Secret "+c.EnvFrom[0].SecretRef.Name].(*corev1.Secret); ok {
			for setting, value := range own.StringData {
				command.Env = append(command.Env, setting+"="+value)
			}
		} else {
			command.Env = append(command.Env, "AUTH_TOKEN_SECRET=0123456789abcdef0123456789abcdef", "PUBLISH_KEYS=0123456789abcdef",
				"OPERATOR_PASSWORD=12345678", "CLUSTER_SECRET=0123456789abcdef0123456789abcdef", "REDIS_PASSWORD=secret")
			if environment(c)["REDIS_URL"] == "" {
				command.Env = command.Env[:3]
			}
		}
		for setting, value := range environment(c) {
			if !slices.Contains(known, setting) {
				t.Errorf("%s: %s is no setting", name, setting)
			}
			if setting == "OPERATORS_FILE" { // which a volume of the pod has
				value = filepath.Join(t.TempDir(), "operators")
				must(t, os.WriteFile(value, []byte("ada:$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy:admin\n"), 0o600))
			}
			command.Env = append(command.Env, setting+"="+value)
		}
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// One port of clients and one of operators run through all objects, and each selector finds the
// pods.
func TestPortsPathsAndNamesAgree(t *testing.T) {
	all := read(t, valueSets["scaled, watched and walled in"]+"\n"+`ingress: {enabled: true}`)
	d, c := pod(t, all, "push")
	env := environment(c)
	ports := map[string]int32{}
	for _, p := range c.Ports {
		ports[p.Name] = p.ContainerPort
	}
	if env["LISTEN"] != fmt.Sprintf(":%d", ports["http"]) || env["ADMIN_LISTEN"] != fmt.Sprintf(":%d", ports["admin"]) || len(ports) != 2 {
		t.Errorf("ports are %v, and it listens on %s and %s", ports, env["LISTEN"], env["ADMIN_LISTEN"])
	}
	api := readFile(t, "backend/internal/apidocs/openapi.yaml")
	for _, p := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
		if ports[p.HTTPGet.Port.StrVal] == 0 || !strings.Contains(api, "\n  "+p.HTTPGet.Path+":\n") {
			t.Errorf("a probe asks for %s at the port %s", p.HTTPGet.Path, p.HTTPGet.Port.StrVal)
		}
		// ALLOWED_HOSTS refuses the address of the pod.
		if h := p.HTTPGet.HTTPHeaders; len(h) != 1 || h[0].Name != "Host" || h[0].Value != "localhost" {
			t.Errorf("a probe of %s has the headers %v", p.HTTPGet.Path, h)
		}
	}
	if c.LivenessProbe.HTTPGet.Path == c.ReadinessProbe.HTTPGet.Path {
		t.Error("an instance that is not ready is restarted, which helps nobody")
	}
	labels := d.Spec.Template.Labels
	selects := func(what string, selector map[string]string) {
		t.Helper()
		for name, value := range selector {
			if labels[name] != value {
				t.Errorf("%s selects %s=%s, pods have %q", what, name, value, labels[name])
			}
		}
		if len(selector) == 0 {
			t.Errorf("%s selects everything", what)
		}
	}
	selects("the deployment", d.Spec.Selector.MatchLabels)
	selects("the disruption budget", one[policyv1.PodDisruptionBudget](t, all, "PodDisruptionBudget push").Spec.Selector.MatchLabels)
	policy := one[networkingv1.NetworkPolicy](t, all, "NetworkPolicy push")
	selects("the network policy", policy.Spec.PodSelector.MatchLabels)
	for _, rule := range policy.Spec.Ingress {
		if ports[rule.Ports[0].Port.StrVal] == 0 {
			t.Errorf("the network policy names the port %v", rule.Ports[0].Port)
		}
	}
	for name, port := range map[string]string{"push": "http", "push-admin": "admin"} {
		s := one[corev1.Service](t, all, "Service "+name)
		selects("service "+name, s.Spec.Selector)
		if len(s.Spec.Ports) != 1 || s.Spec.Ports[0].TargetPort != intstr.FromString(port) || s.Spec.Ports[0].Name != port {
			t.Errorf("service %s has the ports %v", name, s.Spec.Ports)
		}
	}
	monitor := one[serviceMonitor](t, all, "ServiceMonitor push").Spec
	admin := one[corev1.Service](t, all, "Service push-admin")
	for name, value := range monitor.Selector.MatchLabels {
		if admin.Labels[name] != value {
			t.Errorf("the monitor selects %s=%s, the service has %q", name, value, admin.Labels[name])
		}
	}
	if one[corev1.Service](t, all, "Service push").Labels["app.kubernetes.io/component"] != "" {
		t.Error("the monitor finds the service of the clients, too")
	}
	if e := monitor.Endpoints; len(e) != 1 || e[0].Port != admin.Spec.Ports[0].Name || e[0].Path != "/metrics" {
		t.Errorf("the monitor asks %v", e)
	}
	backend := one[networkingv1.Ingress](t, all, "Ingress push").Spec.Rules[0].HTTP.Paths[0].Backend.Service
	if backend.Name != "push" || backend.Port.Name != "http" {
		t.Errorf("the ingress leads to %v", backend)
	}
	scaler := one[autoscalingv2.HorizontalPodAutoscaler](t, all, "HorizontalPodAutoscaler push").Spec
	if scaler.ScaleTargetRef.Kind != "Deployment" || scaler.ScaleTargetRef.Name != d.Name || d.Spec.Replicas != nil {
		t.Errorf("%v is scaled, and the deployment fixes %v", scaler.ScaleTargetRef, d.Spec.Replicas)
	}
	metric := scaler.Metrics[0].Pods
	if !strings.Contains(readFile(t, "docs/metrics.md"), "| `"+metric.Metric.Name+"{") || metric.Target.AverageValue.Value() != 1_000_000 {
		t.Errorf("it is scaled by %v", metric)
	}
}

// An instance leaves by its own rules before Kubernetes loses patience, without a shell, while a
// new one is there already; and it has no rights.
func TestInstancesLeaveInTheirTimeAndHaveNoRights(t *testing.T) {
	for _, name := range []string{"least", "every other value"} {
		release := map[string]string{"least": "push", "every other value": "floor"}[name]
		d, c := pod(t, read(t, valueSets[name]), release)
		spec := d.Spec.Template.Spec
		var leaving time.Duration
		for _, setting := range []string{"DRAIN_DELAY", "DRAIN_TIMEOUT"} {
			part, err := time.ParseDuration(environment(c)[setting])
			must(t, err)
			leaving += part
		}
		grace := time.Duration(*spec.TerminationGracePeriodSeconds) * time.Second
		if grace < leaving+10*time.Second {
			t.Errorf("%s: killed after %v, while leaving takes up to %v", name, grace, leaving)
		}
		if got, want := c.Lifecycle.PreStop.Exec.Command, []string{"/zonecast", "drain", "--timeout", fmt.Sprintf("%.0fs", grace.Seconds())}; !slices.Equal(got, want) {
			t.Errorf("%s: preStop runs %v, want %v", name, got, want)
		}
		if r := d.Spec.Strategy.RollingUpdate; r.MaxUnavailable.IntValue() != 0 || r.MaxSurge.IntValue() != 1 {
			t.Errorf("%s: rolled with %v", name, r)
		}
		s, p := c.SecurityContext, spec.SecurityContext
		if *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || s.Capabilities.Drop[0] != "ALL" || !*p.RunAsNonRoot ||
			p.SeccompProfile.Type != "RuntimeDefault" || *spec.AutomountServiceAccountToken || *spec.EnableServiceLinks {
			t.Errorf("%s: the pod has rights: %+v, %+v", name, s, p)
		}
		image := readFile(t, "deploy/Dockerfile")
		if !strings.Contains(image, fmt.Sprintf("\nUSER %d:%d\n", *p.RunAsUser, *p.RunAsGroup)) || !strings.Contains(image, `ENTRYPOINT ["/zonecast"]`) {
			t.Errorf("%s: the image's user or program is another one than the chart's", name)
		}
	}
}

// Where the secrets change, so do the pods; those of another's Secret have to be restarted by hand.
func TestAChangedSecretRollsThePods(t *testing.T) {
	sum := func(set string) string {
		d, _ := pod(t, read(t, set), "push")
		return d.Spec.Template.Annotations["checksum/secrets"]
	}
	first := sum(`secrets: {existing: "", values: {PUBLISH_KEYS: 0123456789abcdef}}`)
	if second := sum(`secrets: {existing: "", values: {PUBLISH_KEYS: fedcba9876543210}}`); first == second || first == "" {
		t.Errorf("the annotation is %q, then %q", first, second)
	}
}
