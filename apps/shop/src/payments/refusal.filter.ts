import { Catch, HttpException, type RpcExceptionFilter } from '@nestjs/common';
import { throwError, type Observable } from 'rxjs';

/** A refusal in the reply to a message, as HTTP would answer it. */
@Catch(HttpException)
export class RefusalFilter implements RpcExceptionFilter<HttpException> {
  catch(error: HttpException): Observable<never> {
    const refusal = { statusCode: error.getStatus(), message: error.message };
    return throwError(() => refusal);
  }
}
