// Publishes an alert (.NET 7 or newer, a console project's Program.cs).
using System.Net.Http.Headers;
using System.Text;

var env = (string name, string otherwise) => Environment.GetEnvironmentVariable(name) ?? otherwise;
var url = env("ZONECAST_URL", "http://127.0.0.1:3001") + "/api/v1/warehouses/warehouse-1/zones/zone-a/broadcast";
using var client = new HttpClient { Timeout = TimeSpan.FromSeconds(10) };
for (var attempt = 0; ; attempt++)
{
    var wait = TimeSpan.FromSeconds(1);
    try
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, url)
        {
            Content = new StringContent("""{"event":"ALERT","data":{"id":"7","severity":"warning","title":"Conveyor 3 stopped"}}""",
                Encoding.UTF8, "application/json"),
        };
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", env("PUBLISH_KEY", ""));
        request.Headers.Add("Idempotency-Key", env("EVENT_ID", "alert-7")); // makes trying again safe
        using var answer = await client.SendAsync(request);
        var body = await answer.Content.ReadAsStringAsync();
        if (answer.IsSuccessStatusCode)
        {
            Console.WriteLine(body);
            return 0;
        }
        if ((int)answer.StatusCode is not (429 or 502 or 503 or 504) || attempt == 5)
        {
            Console.Error.WriteLine(body); // says what to change
            return 1;
        }
        wait = answer.Headers.RetryAfter?.Delta ?? wait;
    }
    catch (Exception away) when (away is HttpRequestException or TaskCanceledException && attempt < 5) { }
    await Task.Delay(wait);
}
