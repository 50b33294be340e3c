import type { ContentPart } from '@app/contracts';
import { describe, expect, it } from 'vitest';
import { toGeminiPart } from './google.media.js';
import { UnsupportedParams } from '../translation/unsupported-params.js';

const translate = (part: ContentPart) => toGeminiPart(part, 'p', new UnsupportedParams(false));

describe('toGeminiPart', () => {
  it.each([
    ['data:image/png;base64,iVBO_-+/=', { inlineData: { mimeType: 'image/png', data: 'iVBO_-+/=' } }],
    [
      'DATA:image/svg+xml;charset=utf-8,%3Csvg/%3E',
      { inlineData: { mimeType: 'image/svg+xml', data: 'PHN2Zy8+' } },
    ],
    ['data:image/jpg;base64,/9j/', { inlineData: { mimeType: 'image/jpeg', data: '/9j/' } }],
    ['data:;base64,QQ==', { inlineData: { mimeType: 'text/plain', data: 'QQ==' } }],
    [
      'https://a.example/x.JPG?size=9',
      { fileData: { fileUri: 'https://a.example/x.JPG?size=9', mimeType: 'image/jpeg' } },
    ],
    ['https://a.example/picture', { fileData: { fileUri: 'https://a.example/picture' } }],
    ['gs://bucket/clip.mp4', { fileData: { fileUri: 'gs://bucket/clip.mp4', mimeType: 'video/mp4' } }],
  ])('image_url %s', (url, expected) => {
    expect(translate({ type: 'image_url', image_url: { url, detail: 'high' } })).toEqual(expected);
  });

  it.each([
    [
      { file_data: 'data:application/pdf;base64,JVBE', filename: 'a.txt' },
      { inlineData: { mimeType: 'application/pdf', data: 'JVBE' } },
    ],
    [
      { file_data: 'JVBE', filename: 'notes.md' },
      { inlineData: { mimeType: 'text/markdown', data: 'JVBE' } },
    ],
    [{ file_data: 'YTog', filename: 'a.yml' }, { inlineData: { mimeType: 'text/plain', data: 'YTog' } }],
    [{ file_data: 'JVBE' }, { inlineData: { mimeType: 'application/pdf', data: 'JVBE' } }],
    [
      { file_data: 'DATA:image/png;base64,iVBO', mime_type: 'video/mp4' },
      { inlineData: { mimeType: 'image/png', data: 'iVBO' } },
    ],
    [
      { file_data: 'HTTPS://a.example/a.pdf' },
      { fileData: { fileUri: 'HTTPS://a.example/a.pdf', mimeType: 'application/pdf' } },
    ],
    [
      { file_url: 'https://a.example/a.pdf' },
      { fileData: { fileUri: 'https://a.example/a.pdf', mimeType: 'application/pdf' } },
    ],
    [
      { file_data: 'https://a.example/a.pdf' },
      { fileData: { fileUri: 'https://a.example/a.pdf', mimeType: 'application/pdf' } },
    ],
    [
      { file_id: 'files/abc', mime_type: 'audio/mpeg' },
      {
        fileData: {
          fileUri: 'https://generativelanguage.googleapis.com/v1beta/files/abc',
          mimeType: 'audio/mpeg',
        },
      },
    ],
    [
      { file_id: 'abc' },
      { fileData: { fileUri: 'https://generativelanguage.googleapis.com/v1beta/files/abc' } },
    ],
    [
      { file_id: 'gs://b/a.pdf', format: 'application/pdf' },
      { fileData: { fileUri: 'gs://b/a.pdf', mimeType: 'application/pdf' } },
    ],
  ])('file %j', (file, expected) => {
    expect(translate({ type: 'file', file })).toEqual(expected);
  });

  it('keeps what is said of how to speak a text', () => {
    const speech_metadata = { speaker: 'A' };
    expect(translate({ type: 'text', text: 'x', speech_metadata })).toEqual({
      text: 'x',
      speechMetadata: speech_metadata,
    });
  });

  it('takes an image by its address alone', () => {
    const url = 'data:image/png;base64,AA==';
    expect(translate({ type: 'image_url', image_url: url } as ContentPart)).toEqual({
      inlineData: { mimeType: 'image/png', data: 'AA==' },
    });
  });

  it('takes audio and video', () => {
    expect(translate({ type: 'input_audio', input_audio: { data: 'AAAA', format: 'wav' } })).toEqual({
      inlineData: { mimeType: 'audio/wav', data: 'AAAA' },
    });
    expect(translate({ type: 'input_audio', input_audio: { data: 'AAAA', format: 'mp3' } })).toEqual({
      inlineData: { mimeType: 'audio/mp3', data: 'AAAA' },
    });
    expect(translate({ type: 'input_audio', input_audio: { data: 'data:audio/ogg;base64,AAAA' } })).toEqual({
      inlineData: { mimeType: 'audio/ogg', data: 'AAAA' },
    });
    expect(
      translate({
        type: 'video_url',
        video_url: { url: 'https://a.example/v.webm', video_metadata: { fps: 2 } },
        mediaResolution: { level: 'MEDIA_RESOLUTION_LOW' },
      }),
    ).toEqual({
      fileData: { fileUri: 'https://a.example/v.webm', mimeType: 'video/webm' },
      videoMetadata: { fps: 2 },
      mediaResolution: { level: 'MEDIA_RESOLUTION_LOW' },
    });
  });

  it.each([
    [{ type: 'image_url', image_url: { url: '' } }, 'p.image_url.url'],
    [{ type: 'image_url', image_url: { url: 'data:image/png;base64' } }, 'p.image_url.url'],
    [{ type: 'image_url', image_url: { url: 'data:image/png;base64,' } }, 'p.image_url.url'],
    [{ type: 'image_url', image_url: { url: 'data:text/plain,%E0%A4%A' } }, 'p.image_url.url'],
    [{ type: 'input_audio', input_audio: { data: '', format: 'wav' } }, 'p.input_audio.data'],
    [{ type: 'file', file: { filename: 'a.pdf' } }, 'p.file'],
  ])('names what is missing in %j', (part, param) => {
    expect(() => translate(part as ContentPart)).toThrow(
      expect.objectContaining({ code: 'invalid_body', param }),
    );
  });
});
