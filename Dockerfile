# The app for others, see docs/deploy.md. Build: docker build -t ser .
FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements.txt constraints.txt ./
RUN python -m venv /opt/ser && /opt/ser/bin/pip install --no-cache-dir -r requirements.txt
COPY . .
RUN /opt/ser/bin/pip install --no-cache-dir --no-deps .

FROM python:3.11-slim
COPY --from=build /opt/ser /opt/ser
RUN useradd --uid 10001 --no-create-home ser && install -d -o ser /data
USER ser
# Nothing but /data and /tmp is written to.
ENV PATH=/opt/ser/bin:$PATH PYTHONDONTWRITEBYTECODE=1 HOME=/tmp \
    SER_MODE=public SER_HOME=/data SER_CACHE=/tmp/cache NUMBA_CACHE_DIR=/tmp/numba
VOLUME /data
EXPOSE 8501
HEALTHCHECK --start-period=2m CMD ["python", "-c", \
    "from urllib.request import urlopen; urlopen('http://localhost:8501/_stcore/health', timeout=5)"]
ENTRYPOINT ["ser", "app", "--no-browser", "--address", "0.0.0.0", "--port", "8501"]
