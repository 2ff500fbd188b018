// Publishes an alert: Program.cs of a console project of .NET. Mono runs it too: mcs -r:System.Net.Http Publish.cs; mono Publish.exe
using System;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Text;
using System.Threading.Tasks;

static class Publish
{
    static readonly int[] Passing = { 429, 502, 503, 504 };

    static string Env(string name, string otherwise) => Environment.GetEnvironmentVariable(name) ?? otherwise;

    static HttpRequestMessage Request()
    {
        var url = Env("ZONECAST_URL", "http://127.0.0.1:3001") + "/api/v1/warehouses/warehouse-1/zones/zone-a/broadcast";
        var body = @"{""event"":""ALERT"",""data"":{""id"":""7"",""severity"":""warning"",""title"":""Conveyor 3 stopped""}}";
        var request = new HttpRequestMessage(HttpMethod.Post, url) { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", Env("PUBLISH_KEY", ""));
        request.Headers.Add("Idempotency-Key", Env("EVENT_ID", "alert-7")); // makes trying again safe
        return request;
    }

    static int Main() => Run().GetAwaiter().GetResult();

    static async Task<int> Run()
    {
        using (var client = new HttpClient { Timeout = TimeSpan.FromSeconds(10) })
            for (var attempt = 0; ; attempt++)
            {
                var wait = TimeSpan.FromSeconds(1);
                try
                {
                    var answer = await client.SendAsync(Request());
                    var body = await answer.Content.ReadAsStringAsync();
                    if (answer.IsSuccessStatusCode)
                    {
                        Console.WriteLine(body);
                        return 0;
                    }
                    if (Array.IndexOf(Passing, (int)answer.StatusCode) < 0 || attempt == 5)
                    {
                        Console.Error.WriteLine(body); // says what to change
                        return 1;
                    }
                    wait = answer.Headers.RetryAfter?.Delta ?? wait;
                }
                catch (Exception away) when ((away is HttpRequestException || away is TaskCanceledException) && attempt < 5) { }
                await Task.Delay(wait);
            }
    }
}
